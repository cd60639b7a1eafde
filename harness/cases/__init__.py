"""One Kubefile under test: its context, its base images, its builds."""
