"""Classification: labeled images in, top-1 accuracy out."""

TASKS = {"classification": "sr_kd.tasks.classification.definition:CLASSIFICATION"}
NETWORKS = {"ResNet": "sr_kd.tasks.classification.resnet:ResNet"}
LOSSES = {
    "CrossEntropy": "sr_kd.tasks.classification.cross_entropy:CrossEntropy",
    "SoftLabel": "sr_kd.tasks.classification.soft_label:SoftLabel",
}
