"""The demonstration: made-up chest radiographs, a small PACS to send results to, and a picture of them."""
