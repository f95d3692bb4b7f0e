"""A shop that tells the world about its orders: flask run, gunicorn app:app, uwsgi uwsgi.ini."""

import os
import uuid

from flask import Flask, request

from publisher.contrib.flask import FlaskPublisher

publisher = FlaskPublisher()


def create_app() -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.update(
        PUBLISHER_MAX_WORKERS=10,
        # None is AWS itself; the local AWS of the example sets the variable.
        PUBLISHER_CLIENT={"endpoint_url": os.environ.get("AWS_ENDPOINT_URL")},
        ORDERS_TOPIC=os.environ.get("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:orders"),
    )
    publisher.init_app(app)
    app.add_url_rule("/health/publisher", view_func=publisher.health)

    @app.post("/orders")
    def create():
        """item=...: publish the order and answer without waiting for it."""
        order = uuid.uuid4().hex
        publisher.client("sns").publish(
            TopicArn=app.config["ORDERS_TOPIC"],
            Message=f"order {order}: {request.form['item']}",
        )
        return {"order": order}, 201

    return app


app = create_app()
