"""Where the views are."""

from django.urls import path

from . import views

urlpatterns = [
    path("orders/<int:number>/pay", views.pay),
    path("orders/<int:number>/receipt", views.receipt),
]
