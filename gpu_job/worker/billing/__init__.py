"""What a worker's time and its calls to Deepgram cost, and whose they are: `bills.Billing` has all of it."""
