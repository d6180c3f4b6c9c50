"""From stored runs to tables; reaches runs only through `benchmark.store`."""
