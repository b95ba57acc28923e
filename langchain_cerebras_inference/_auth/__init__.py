"""Where the key comes from: given, or exchanged for cookies."""
