"""Settings; what belongs to boto3-publisher is at the end."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("SECRET_KEY", "for the example only")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", BASE_DIR / "db.sqlite3"),
        # SQLite lets one writer in at a time: the others wait instead of failing.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "publisher.contrib.django",
    "shop",
]

AWS_PUBLISHER = {
    "default": {
        "MAX_WORKERS": 10,
        # None is AWS itself; the local AWS of the example sets the variable.
        "CLIENT": {"endpoint_url": os.environ.get("AWS_ENDPOINT_URL")},
    }
}
ORDERS_TOPIC = os.environ.get("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:orders")
STEPS_QUEUE = os.environ.get(
    "QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/steps.fifo"
)
