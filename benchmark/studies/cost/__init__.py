"""What methods cost: what their networks are made of (`counting`), and seconds and memory
(`timing`), on one picture.

`record` makes both and keeps them in one folder, from which `benchmark.reports.cost` writes its
tables; `published` reads what papers print.
"""
