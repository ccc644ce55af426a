"""The HTTP interface: it speaks as OpenAI does, so that what was written for OpenAI works with any model here."""
