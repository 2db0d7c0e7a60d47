"""5. Voxels: pixel data, its orientation and spacing, as plain values a model can use."""
