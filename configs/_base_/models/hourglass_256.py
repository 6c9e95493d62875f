"""Four hourglasses on crops of 256 pixels, with the mean over cells as loss."""

model = dict(
    type="mmext.LandmarkDetector",
    data_preprocessor=dict(type="mmext.LandmarkDataPreprocessor"),
    net=dict(type="mmext.StackedHourglass", num_keypoints=68, num_stacks=4),
    codec=dict(type="mmext.GaussianHeatmapCodec", input_size=256, stride=4, sigma=3.0),
    loss="mean",
)
