"""radnode: a DICOM network node that runs trained networks on the studies it receives.

The packages follow the data path; each hands one value to the next:

    association   accepts C-STORE               -> ReceivedInstance
    archive       keeps the instance durably    -> a file that outlives a crash
    studies       gathers instances, applies the rules -> Selection
    jobs          queues one model on one input -> Job
    imaging       turns pixel data into voxels  -> PlanarImage
    inference     runs the network              -> Finding
    results       encodes findings              -> ResultObject
    delivery      sends result objects back     -> C-STORE to a destination

Receiving, analysing and delivering meet only in the database and the archive.
"""
