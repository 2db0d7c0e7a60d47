"""The upper layer protocol (PS3.8) and its messages (PS3.7), as both sides of an association speak them."""
