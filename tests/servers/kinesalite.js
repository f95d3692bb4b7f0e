// Runs kinesalite on a free port of 127.0.0.1, says which, and ends when its standard input does:
// the pipe's other end is the test process, so that it cannot be outlived.
'use strict'

const options = {createStreamMs: 1, deleteStreamMs: 1, updateStreamMs: 1, shardLimit: 1000}
const server = require('kinesalite')(options)
// Node closes idle connections after 5 s, which a client that is just sending sees as a reset.
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1', () => console.log('port', server.address().port))
process.stdin.resume().on('end', () => process.exit(0)).on('error', () => process.exit(0))
