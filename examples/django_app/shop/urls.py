"""Addresses."""

from django.urls import path

from publisher.contrib.django.views import health

from . import views

urlpatterns = [
    path("orders", views.create),
    path("orders/confirmed", views.confirm),
    path("orders/<int:pk>", views.show),
    path("orders/<int:pk>/steps", views.advance),
    path("health/publisher", health),
]
