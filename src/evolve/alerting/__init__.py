"""When is something worth telling, and how does it reach a person? Rules judged, and couriers for webhook, e-mail and Telegram."""
