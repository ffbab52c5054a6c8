"""Generation: engines that answer, the store that never forgets an answer, the client between them."""
