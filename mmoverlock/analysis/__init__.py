"""What a trained model does, and what it costs: measurements, pictures and a report."""
