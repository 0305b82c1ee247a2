"""Detection: images with boxes in, mean average precision out."""

TASKS = {"detection": "sr_kd.tasks.detection.definition:DETECTION"}
NETWORKS = {"FCOS": "sr_kd.tasks.detection.fcos:FCOS"}
LOSSES = {"Detection": "sr_kd.tasks.detection.loss:Detection"}
