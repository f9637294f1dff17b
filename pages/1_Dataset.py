from ser.app.pages import dataset

dataset.show()
