"""Small sequential models over item ids: SASRec, GRU4Rec and Mini-BERT."""
