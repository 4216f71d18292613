"""Item data of a student: initial vectors, vectors from text and item-item weights."""
