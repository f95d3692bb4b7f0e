"""A configuration file of gunicorn's: gevent, patched before the application is imported."""

from gevent import monkey

monkey.patch_all()
