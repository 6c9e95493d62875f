"""A pose machine and four hourglasses on crops of 256 pixels, and the teacher that judges both."""

model = dict(
    type="mmext.TS3",
    data_preprocessor=dict(type="mmext.LandmarkDataPreprocessor"),
    students=[
        dict(
            type="mmext.LandmarkDetector",
            net=dict(type="mmext.VGGCPM", num_keypoints=68, num_stages=3),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=256, stride=8, sigma=4.0),
            loss="sum",
        ),
        dict(
            type="mmext.LandmarkDetector",
            net=dict(type="mmext.StackedHourglass", num_keypoints=68, num_stacks=4),
            codec=dict(type="mmext.GaussianHeatmapCodec", input_size=256, stride=4, sigma=3.0),
            loss="mean",
        ),
    ],
    teacher=dict(type="mmext.PatchTeacher"),
    teacher_size=64,
)
