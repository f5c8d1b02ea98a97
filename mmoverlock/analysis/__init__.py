"""What models cost: parameters, multiply-adds, time and memory."""
