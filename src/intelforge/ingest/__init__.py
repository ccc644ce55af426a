"""The way from source to index: collect, refine, store, index and embed, as one durable pipeline."""
