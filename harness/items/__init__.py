"""pytest's side: collected items, reports, saved failures, the reference of options."""
