"""What a model looks at: analyses that several tasks share."""
