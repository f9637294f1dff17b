from ser.app.pages import home

home.show()
