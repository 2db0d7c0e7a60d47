"""7. Encode: findings become DICOM result objects, checked to belong to the study they came from."""
