"""How the tables came to be: one revision a change, oldest first. Shipped, so that `upgrade` works from a wheel."""
