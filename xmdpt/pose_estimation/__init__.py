"""A photo to the 18 key points of the person in it: BlazePose on ONNX Runtime, with weights that come along.

Does not draw poses (`xmdpt.skeleton`) nor judge whether one is good enough for the model; needs no torch.
"""

from xmdpt.pose_estimation.estimator import EstimatedPose, PoseEstimator
from xmdpt.pose_estimation.regions import Region
from xmdpt.pose_estimation.single_person import FoundPerson, UnsuitablePhotoError, find_person

__all__ = ["EstimatedPose", "FoundPerson", "PoseEstimator", "Region", "UnsuitablePhotoError", "find_person"]
