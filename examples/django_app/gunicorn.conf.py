"""gunicorn shop.wsgi reads this file."""

# A worker that ends delivers what it has accepted, for at most close_timeout (5 s): leave it more.
graceful_timeout = 30
