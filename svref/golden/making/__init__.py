"""How packs are made: recipes of inputs, certified outputs, and the mistakes that each case exposes."""
