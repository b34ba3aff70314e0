//! For tests only: a real registry, a fault-injecting proxy, fixture images, a runner of the binary.
