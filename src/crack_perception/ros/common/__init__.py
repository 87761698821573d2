"""Parts that both nodes use: lifecycle, parameters, QoS profiles, diagnostics, health and message conversions."""
