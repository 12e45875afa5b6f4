"""x"""


class GradcheckPoint: ...


def gradcheck_point(): ...
