"""Networks, bundles, and what answers with them."""
