"""What the example is called in its report."""

TITLE = "Flights: will it arrive more than 15 minutes late?"
