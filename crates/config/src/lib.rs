//! Configuration files of every format, read into the cluster model.
