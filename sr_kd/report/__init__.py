"""Looking at what a run did: its page, from the files it leaves."""
