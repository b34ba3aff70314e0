//! Instructions to a graph of plain data: args, stages, targets, platforms, ONBUILD; no I/O.
