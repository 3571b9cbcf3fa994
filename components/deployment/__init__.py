"""Put releases behind endpoints, by judgement."""
