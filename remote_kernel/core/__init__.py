"""Pure code: identity, settings, errors, the wire, the journal. No I/O, no clock, no environment."""
