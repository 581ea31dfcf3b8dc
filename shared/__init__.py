"""The language that function and job both speak: settings, records, messages, transcripts, costs."""
