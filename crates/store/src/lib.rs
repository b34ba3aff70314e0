//! Content-addressed store: blobs, layers, cache records, tags, locks, GC.
