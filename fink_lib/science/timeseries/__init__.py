"""What light curves say by themselves: features and fits of many curves at once, as pure functions of arrays."""
