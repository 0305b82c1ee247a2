"""Speed, measured beside what people use today and beside what the machine could do."""
