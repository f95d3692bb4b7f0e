"""Settings of the Django project that the tests run."""

import json
import os
from pathlib import Path

FOLDER = Path(os.environ["SITE_FOLDER"])  # where the databases are
SECRET_KEY = "tests"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "tests.contrib.site.urls"
USE_TZ = True
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    name: {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / f"{name}.sqlite3",
        # A file, as in production: a connection to memory is never closed.
        "TEST": {"NAME": FOLDER / f"test-{name}.sqlite3"},
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
    for name in ("default", "other")
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "publisher.contrib.django",
    "tests.contrib.site.publisher",  # an application of that name is the user's own affair
    "tests.contrib.site",
]
AWS_PUBLISHER = json.loads(os.environ.get("AWS_PUBLISHER", "null")) or {
    "default": {
        "LINGER": float(os.environ.get("LINGER", "0.01")),
        "HOOKS": ["tests.contrib.site.hooks.Recorder"],
        "CLIENT": {"endpoint_url": os.environ.get("ENDPOINT")},
    },
    "audit": {"MAX_WORKERS": 2, "LINGER": 0},
}
