"""Forks: each message belongs to one process, which delivers it once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.hosts.process import Process, assert_stored, expected
from tests.servers import Answer, Endpoint, Error

pytestmark = pytest.mark.every_python(
    "what a fork copies, waits for and warns of differs by version"
)

Start = Callable[..., Process]

PRELUDE = """
import asyncio, concurrent.futures as cf, threading, ctypes
configure(linger=0.1)

def check(function):
    # in a child: its exit code says how it went
    try:
        function()
    except BaseException as error:
        logging.exception('in the child')
        os._exit(1)

def reap(*pids):
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
"""


def test_parent_child_and_grandchild(endpoint: Endpoint, start: Start) -> None:
    process = start(
        PRELUDE
        + """
publish('warm')[0].result()
publish('before', 25)
child = os.fork()
if not child:
    publish('child', 25)
    grandchild = os.fork()
    if not grandchild:
        publish('grandchild', 25)
        sys.exit(0)
    publish('after', 25)
    reap(grandchild)
    assert publisher.stats().total.accepted == 50
    sys.exit(0)
publish('parent', 25)
reap(child)
assert publisher.flush(25) == 0
total = publisher.stats().total
assert total.accepted == total.delivered == 51, total
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(
        endpoint, expected(warm=1, before=25, child=25, grandchild=25, after=25, parent=25)
    )


def test_only_the_child_publishes(endpoint: Endpoint, start: Start) -> None:
    code = """
sns = client()
child = os.fork()
if not child:
    publish('child', 25)
    sys.exit(0)
reap(child)
"""
    process = start(PRELUDE + code, endpoint.url)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(child=25))


INHERITED = """
inherited = [sns.publish(TopicArn=TOPIC, Message=f'in-{i}') for i in range(3)]
batch = sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=[
    {'Id': str(i), 'Message': f'batch-{i}'} for i in range(3)])
ran = []
for future in inherited:
    future.add_done_callback(lambda _: ran.append(os.getpid()))

def all_ended():
    began = time.monotonic()
    for future in [*inherited, batch]:
        assert future.done() and not future.cancelled() and not future.cancel(), future
        assert type(future.exception()) is publisher.ForkedProcess
        try:
            future.result()
        except publisher.ForkedProcess:
            pass
        else:
            raise AssertionError(future)
        called = []
        future.add_done_callback(called.append)
        assert called == [future]
    done, waiting = cf.wait([*inherited, batch])
    assert len(done) == 4 and not waiting
    assert set(cf.as_completed(inherited)) == set(inherited)
    async def wrapped():
        return await asyncio.gather(*map(asyncio.wrap_future, inherited), return_exceptions=True)
    assert {type(one) for one in asyncio.run(wrapped())} == {publisher.ForkedProcess}
    assert not ran
    assert time.monotonic() - began < 30
"""


def test_inherited_futures_end_at_once(endpoint: Endpoint, start: Start) -> None:
    process = start(
        PRELUDE
        + "sns = client().with_options(linger=60)\n"
        + INHERITED
        + """
child = os.fork()
if not child:
    check(all_ended)
    os._exit(0)
reap(child)
assert all(future.running() or not future.done() for future in inherited)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(**{"in": 3, "batch": 3}))


# `with` a lock in another thread, for as long as the fork takes; each of them is one that the
# publisher's threads hold for moments all the time.
LOCKED = """
from publisher._engine import state as _state
def hold(locks, held, release):
    from contextlib import ExitStack
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(lock)
        held.set()
        release.wait(20)

def other_threads():
    # what the system knows of them: a thread that has nothing to do changes nothing of it
    for task in os.listdir('/proc/self/task'):
        if int(task) != threading.get_native_id():
            with open(f'/proc/self/task/{task}/status') as status:
                yield task, [line for line in status if line.startswith(('State', 'volun'))]
            with open(f'/proc/self/task/{task}/stat') as stat:
                yield task, stat.read().split()[13:15]

def until_others_rest():
    seen, deadline = [], time.monotonic() + 20
    while seen != (seen := list(other_threads())) and time.monotonic() < deadline:
        threading.Event().wait(0.05)  # whoever wants the GIL has it meanwhile

def forked_while_locked(fork, *more):
    core = publisher._default._core
    locks = [_state.LOCK.rlock, core.tracker.lock, core.account.lock, core.flow.lock, *more]
    held, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold, args=(locks, held, release), daemon=True)
    # No thread may be asking for the GIL at a fork that Python is not told of: the child would hand
    # it to that thread, which it does not have. A thread asks when it has waited for this long.
    sys.setswitchinterval(100)
    holder.start()
    held.wait()
    until_others_rest()
    pid = fork()
    sys.setswitchinterval(0.005)
    if pid:
        release.set()
        holder.join()
    return pid
"""


def test_locks_that_another_thread_held_harm_nobody(endpoint: Endpoint, start: Start) -> None:
    process = start(
        PRELUDE
        + "sns = client().with_options(linger=60)\n"
        + INHERITED
        + LOCKED
        + """
child = forked_while_locked(os.fork)
if not child:
    check(all_ended)
    check(lambda: [future.result(25) for future in publish('child', 25)])
    sys.exit(0)
reap(child)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(**{"in": 3, "batch": 3, "child": 25}))


def test_a_fork_that_python_is_not_told_of(endpoint: Endpoint, start: Start) -> None:
    """As uWSGI does it by default: no at-fork handler runs."""
    process = start(
        PRELUDE
        + "publish('warm')[0].result()\nsns = client().with_options(linger=60)\n"
        + INHERITED
        + LOCKED
        + """
child = forked_while_locked(ctypes.PyDLL(None).fork)
if not child:
    check(all_ended)
    check(lambda: [future.result(25) for future in publish('child', 25)])
    check(lambda: publish('more', 25))
    sys.exit(0)
publish('parent', 25)
reap(child)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(
        endpoint,
        expected(**{"in": 3, "batch": 3, "warm": 1, "child": 25, "more": 25, "parent": 25}),
    )


def test_a_client_of_the_users_own(endpoint: Endpoint, start: Start) -> None:
    """Its pooled connections are shared by the fork: the child must not use them."""
    process = start(
        PRELUDE
        + """
import boto3, warnings
warnings.simplefilter('ignore')
boto = boto3.client('sns', endpoint_url=os.environ['ENDPOINT'])
boto.publish(TopicArn=TOPIC, Message='boto-0')
sns = publisher.client('sns', client=boto)
def both(name):
    futures = [sns.publish(TopicArn=TOPIC, Message=f'{name}-{i}') for i in range(25)]
    for future in futures:
        future.result(20)
child = os.fork()
both('child' if not child else 'parent')
if child:
    reap(child)
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(boto=1, child=25, parent=25))
    carried: dict[int, set[str]] = {}  # connection -> who used it
    for request in endpoint.requests:
        for entry in request.entries:
            name = entry.data.decode().partition("-")[0]
            carried.setdefault(request.connection, set()).add(name)
    assert not any({"child"} < names for names in carried.values()), carried


def test_os_exit_in_a_child_needs_a_flush(endpoint: Endpoint, start: Start) -> None:
    code = """
child = os.fork()
if not child:
    publish('child', 25)
    assert publisher.flush(25) == 0
    os._exit(0)
reap(child)
"""
    process = start(PRELUDE + code, endpoint.url)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(child=25))


def test_many_forks_under_load(endpoint: Endpoint, start: Start) -> None:
    process = start(
        PRELUDE
        + """
def load():
    for i in range(300):
        client().publish(TopicArn=TOPIC, Message=f'load-{i}')
threads = [threading.Thread(target=load) for _ in range(1)]
publish('warm')[0].result()
for thread in threads: thread.start()
children = []
for n in range(4):
    child = os.fork()
    if not child:
        check(lambda: publish(f'c{n}', 5)[-1].result(20))
        os._exit(0) if n % 2 and publisher.flush(25) == 0 else sys.exit(0)
    children.append(child)
reap(*children)
for thread in threads: thread.join()
""",
        endpoint.url,
    )
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(warm=1, load=300, **{f"c{n}": 5 for n in range(4)}))


FORKED_LATER = """
end = time.perf_counter() + float(os.environ['LATER'])
while time.perf_counter() < end:  # no switch of threads asked for
    pass
child = os.fork()
if not child:
    check(lambda: publish('child')[0].result(20))
    sys.exit(0)
reap(child)
"""


@pytest.mark.parametrize("later", [0, 0.05])
def test_a_fork_while_the_parent_sends_its_first_message(
    endpoint: Endpoint, start: Start, later: float
) -> None:
    """The parent's threads are importing: what they have not finished the child could never."""
    code = "publish('before')\n" + FORKED_LATER
    process = start(PRELUDE + code, endpoint.url, LATER=str(later))
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(before=1, child=1))


@pytest.mark.parametrize("later", [0.005, 0.05])
def test_a_fork_while_another_thread_makes_the_first_client(
    endpoint: Endpoint, start: Start, later: float
) -> None:
    """`publisher.client` imports most of the package."""
    code = "thread = threading.Thread(target=client)\nthread.start()\n" + FORKED_LATER
    code += "thread.join()\npublish('parent')\n"
    process = start(PRELUDE + code, endpoint.url, LATER=str(later))
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(parent=1, child=1))


REFRESHED = """
import boto3
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
parent, refreshing, forked = os.getpid(), threading.Event(), threading.Event()

def refresh():
    if os.getpid() == parent:
        refreshing.set()
        forked.wait(20)
    return dict(access_key='a', secret_key='s', token='t', expiry_time='2099-01-01T00:00:00Z')

def publish_one(name):
    return sns.publish(TopicArn=TOPIC, Message=f'{name}-0')

class Sts:
    def assume_role(self, **_):
        return {'Credentials': dict(AccessKeyId='a', SecretAccessKey='s', SessionToken='t',
            Expiration='2099-01-01T00:00:00Z')}
    def close(self):
        pass

def role_of(source):
    fetcher = AssumeRoleCredentialFetcher(lambda *_, **__: Sts(), source, 'a role')
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, 'assume-role')

session = boto3.Session()
credentials = DeferredRefreshableCredentials(refresh, 'a role')
how = {'session': session}
if os.environ['HOW'] == 'default session':
    boto3.DEFAULT_SESSION, how = session, {}
if os.environ['HOW'] == 'role of a role':
    credentials = role_of(role_of(credentials))
session._session._credentials = credentials
sns = client(**how)
publish_one('parent')
assert refreshing.wait(20)
child = os.fork()
if not child:
    check(lambda: publish_one('child').result(20))
    sys.exit(0)
forked.set()
reap(child)
"""


@pytest.mark.parametrize("how", ["session", "default session", "role of a role"])
def test_a_fork_while_credentials_are_refreshed(endpoint: Endpoint, start: Start, how: str) -> None:
    """A session's credentials, with their locks, are the same in the child."""
    process = start(PRELUDE + REFRESHED, endpoint.url, HOW=how)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(parent=1, child=1))


TAKEN = """
import gc, boto3, urllib3

def pools():
    return [one for one in gc.get_objects() if isinstance(one, urllib3.HTTPConnectionPool)]

def managers():
    return [one for one in gc.get_objects() if isinstance(one, urllib3.PoolManager)]

if os.environ['WHOSE'] == 'one that is gone':
    import warnings
    warnings.simplefilter('ignore')  # it was not closed
    sns = publisher.Publisher().client('sns', endpoint_url=os.environ['ENDPOINT'],
        region_name='us-east-1')
elif os.environ['WHOSE'] == 'passed in':
    made = boto3.client('sns', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
    sns = publisher.client('sns', client=made)
else:
    sns = client()

def publish_one(name):
    return sns.publish(TopicArn=TOPIC, Message=f'{name}-0')

publish_one('parent').result()
if os.environ['WHOSE'] == 'one that is gone':
    left = pools()  # as its threads have them, which deliver what is left
    del sns
    gc.collect()
    assert left
held, forked = threading.Event(), threading.Event()

def hold():  # as a worker does for a moment with each request
    locks = [one.pool.mutex for one in pools()]
    if os.environ['WHOSE'] == 'passed in':
        locks += [one.pools.lock for one in managers()]
    for lock in locks:
        lock.acquire()
    held.set()
    assert locks and forked.wait(20)
    for lock in locks:
        lock.release()

thread = threading.Thread(target=hold)
thread.start()
assert held.wait(20)
child = os.fork()
if not child:
    if os.environ['WHOSE'] != 'one that is gone':
        check(lambda: publish_one('child').result(20))
    sys.exit(0)  # urllib3 empties the pools that are left
reap(child)
forked.set()
thread.join()
"""


@pytest.mark.parametrize("whose", ["ours", "passed in", "one that is gone"])
def test_a_fork_while_a_worker_takes_a_connection(
    endpoint: Endpoint, start: Start, whose: str
) -> None:
    """The child has the parent's pools, and their locks, which nobody there would release."""
    process = start(PRELUDE + TAKEN, endpoint.url, WHOSE=whose)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(parent=1, child=int(whose != "one that is gone")))


@pytest.mark.parametrize("end", ["sys.exit(0)", "atexit._run_exitfuncs()\n    os._exit(0)"])
def test_a_fork_that_nobody_is_told_of_while_a_worker_takes_a_connection(
    endpoint: Endpoint, start: Start, end: str
) -> None:
    """The child never uses the package: its end is the first that anybody sees of it."""
    code = f"""
import atexit, gc, urllib3
publish('parent')[0].result()
pools = [one for one in gc.get_objects() if isinstance(one, urllib3.HTTPConnectionPool)]
child = forked_while_locked(ctypes.PyDLL(None).fork, *[one.pool.mutex for one in pools])
if not child:
    {end}
assert pools
reap(child)
"""
    process = start(PRELUDE + LOCKED + code, endpoint.url)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(parent=1))


WRITTEN = """
import io
from publisher.contrib.emf import EmfHook
parent, writing, forked = os.getpid(), threading.Event(), threading.Event()

class Full(io.StringIO):  # as a pipe that nobody reads for a moment
    def write(self, text):
        if os.getpid() == parent:
            writing.set()
            forked.wait(20)
        return super().write(text)

def called_back():
    called = threading.Event()
    publish('child')[0].add_done_callback(lambda _: called.set())
    assert called.wait(20)

configure(hooks=[EmfHook(stream=Full(), interval=0)])
publish('parent')
assert writing.wait(20)
child = os.fork()
if not child:
    check(called_back)
    sys.exit(0)
forked.set()
reap(child)
"""


def test_a_fork_while_a_hook_writes_metrics(endpoint: Endpoint, start: Start) -> None:
    """Hooks live on in the child, and callbacks there wait for them."""
    process = start(PRELUDE + WRITTEN, endpoint.url)
    assert process.end() == 0, process.log
    assert_stored(endpoint, expected(parent=1, child=1))


IMPORTS = """
from publisher._fork import importing
class Finder:
    held, bare = set(), set()
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            (self.held if importing().has(threading.get_ident()) else self.bare).add(name)
finder = Finder()
sys.meta_path.insert(0, finder)
sns = client()
kinesis = publisher.client('kinesis', endpoint_url=os.environ['ENDPOINT'], region_name='us-east-1')
sns.publish(TopicArn=TOPIC, Message='m-0').result(20)
kinesis.put_record(StreamName='s', Data=b'm-1', PartitionKey='p').result(20)
assert publisher.stats().total.retries == 3
publisher.client('sns', endpoint_url='https://127.0.0.1:1', region_name='us-east-1').with_options(
    delivery_timeout=0.3).publish(TopicArn=TOPIC, Message='nowhere').exception(20)
sns.get_topic_attributes(TopicArn=TOPIC).exception(20)
assert finder.held >= {'encodings.idna', 'tenacity'}, finder.held
assert not finder.bare, finder.bare
"""


def test_what_our_threads_import_a_fork_waits_for(endpoint: Endpoint, start: Start) -> None:
    faults = {
        "sns": iter([Answer(reset="before"), Answer(error=Error(503, "ServiceUnavailable"))]),
        "kinesis": iter([Answer(failures={0: "ProvisionedThroughputExceededException"})]),
    }
    endpoint.script(lambda request: next(faults[request.service], Answer()))
    process = start(PRELUDE + IMPORTS, endpoint.url)
    assert process.end() == 0, process.log


MULTIPROCESSING = """
import concurrent.futures as cf
import multiprocessing
from tests.hosts import children

if __name__ == '__main__':
    context = multiprocessing.get_context(os.environ['METHOD'])
    configure()
    publish('warm')[0].result()
    publish('before', 15)
    process = context.Process(target=children.publish_and_return, args=('process',))
    process.start()
    publish('beside', 15)
    with context.Pool(1) as pool:
        pool.map(children.publish_and_return, ['pool1', 'pool2'], chunksize=1)
        pool.close()
        pool.join()
    with cf.ProcessPoolExecutor(1, mp_context=context) as pool:
        list(pool.map(children.publish_and_return, ['executor1', 'executor2']))
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(endpoint: Endpoint, start: Start, method: str) -> None:
    process = start(MULTIPROCESSING, endpoint.url, METHOD=method)
    assert process.end(60) == 0, process.log
    children = ("process", "pool1", "pool2", "executor1", "executor2")
    assert_stored(endpoint, expected(warm=1, before=15, beside=15, **dict.fromkeys(children, 15)))


def test_a_pool_that_is_terminated(endpoint: Endpoint, start: Start) -> None:
    """`with Pool()` ends its children with SIGTERM: they need the signal handler."""
    process = start(
        """
import multiprocessing
from tests.hosts import children

if __name__ == '__main__':
    configure()
    context = multiprocessing.get_context('fork')
    with context.Pool(2, initializer=publisher.install_signal_handlers) as pool:
        pool.map(children.publish_and_return, ['pool1', 'pool2', 'pool3'], chunksize=1)
""",
        endpoint.url,
    )
    assert process.end(60) == 0, process.log
    assert_stored(endpoint, expected(pool1=15, pool2=15, pool3=15))
