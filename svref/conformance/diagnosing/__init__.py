"""What does a candidate compute? Found out from its outputs alone, without expected values."""
