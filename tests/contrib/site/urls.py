from django.urls import path
from health_check.views import HealthCheckView

from publisher.contrib.django.views import health

from . import views

urlpatterns = [
    path("send", views.send),
    path("asend", views.asend),
    path("health/publisher", health),
    path(
        "health/all",
        HealthCheckView.as_view(checks=["publisher.contrib.django.health_check.AwsPublisher"]),
    ),
]
